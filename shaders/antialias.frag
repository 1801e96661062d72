// Fast approximate antialiasing (Lottes, FXAA's console version) of the light preset's finished pixels, on
// the way into the view's place: on llvmpipe multisampling costs far more, because it disables early depth.
#include "encoding.glsl"

layout(binding = 0) uniform sampler2D picture;  // sRGB-encoded; alpha is the brightness of opaque surfaces
uniform vec2 window;  // where this view starts in the picture, and its share of the width

in vec2 uv;
layout(location = 0) out vec4 pixel;

const float BRIGHT_SHARE = 1.0 / 16.0, LEAST = 1.0 / 96.0, LONGEST_PIXELS = 8.0;

void main() {
    vec2 size = vec2(textureSize(picture, 0));
    vec2 at = vec2(window.x + uv.x * window.y, uv.y);
    ivec2 p = ivec2(at * size);
    ivec2 low = ivec2(window.x * size.x, 0), high = ivec2((window.x + window.y) * size.x, size.y) - 1;
    float nw = texelFetch(picture, clamp(p + ivec2(-1, 1), low, high), 0).a;
    float ne = texelFetch(picture, clamp(p + ivec2(1, 1), low, high), 0).a;
    float sw = texelFetch(picture, clamp(p + ivec2(-1, -1), low, high), 0).a;
    float se = texelFetch(picture, clamp(p + ivec2(1, -1), low, high), 0).a;
    vec2 along = vec2((sw + se) - (nw + ne), (nw + sw) - (ne + se));
    float least = max((nw + ne + sw + se) * 0.25 * BRIGHT_SHARE, LEAST);
    along = clamp(along / (min(abs(along.x), abs(along.y)) + least), -LONGEST_PIXELS, LONGEST_PIXELS) / size;
    vec2 first = (vec2(low) + 0.5) / size, last = (vec2(high) + 0.5) / size;  // nothing of the other eye
    vec3 a = textureLod(picture, clamp(at - along / 6.0, first, last), 0.0).rgb;
    vec3 b = textureLod(picture, clamp(at + along / 6.0, first, last), 0.0).rgb;
    pixel = vec4(for_target(0.5 * (a + b)), 1.0);
}
