// The last pass: bloom, exposure, tone curve, sRGB, and a dither against bands in the sky.
#include "light.glsl"
#include "encoding.glsl"

layout(binding = 0) uniform sampler2D picture;
layout(binding = 1) uniform sampler2D bloom;
uniform vec2 window;  // where this view starts in the picture, and its share of the width

in vec2 uv;
layout(location = 0) out vec4 pixel;

void main() {
    vec2 at = vec2(window.x + uv.x * window.y, uv.y);
    vec3 radiance = mix(textureLod(picture, at, 0.0).rgb, textureLod(bloom, at, 0.0).rgb * 0.2, 0.045);
    vec3 encoded = encode_srgb(tone_map(radiance * sun.w));
    float noise = fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715))));
    pixel = vec4(for_target(clamp(encoded + (noise - 0.5) / 255.0, 0.0, 1.0)), 1.0);
}
