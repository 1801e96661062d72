// One step of a pyramid of ever smaller pictures: down by 13 taps (Jimenez 2014), up by a 3 × 3 tent.
layout(binding = 0) uniform sampler2D picture;

in vec2 uv;
layout(location = 0) out vec3 pixel;

vec3 at(vec2 offset) { return min(textureLod(picture, uv + offset / vec2(textureSize(picture, 0)), 0.0).rgb, 60.0); }

void main() {
#ifdef DOWN
    vec3 inner = at(vec2(-1, -1)) + at(vec2(1, -1)) + at(vec2(-1, 1)) + at(vec2(1, 1));
    vec3 edges = at(vec2(-2, 0)) + at(vec2(2, 0)) + at(vec2(0, -2)) + at(vec2(0, 2));
    vec3 corners = at(vec2(-2, -2)) + at(vec2(2, -2)) + at(vec2(-2, 2)) + at(vec2(2, 2));
    pixel = at(vec2(0)) * 0.125 + inner * 0.125 + edges * 0.0625 + corners * 0.03125;
#else
    vec3 sum = at(vec2(0)) * 4.0;
    sum += 2.0 * (at(vec2(-1, 0)) + at(vec2(1, 0)) + at(vec2(0, -1)) + at(vec2(0, 1)));
    sum += at(vec2(-1, -1)) + at(vec2(1, -1)) + at(vec2(-1, 1)) + at(vec2(1, 1));
    pixel = sum / 16.0;
#endif
}
