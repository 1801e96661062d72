// 4 × 4 mean of the occlusion, over what is about as far away: removes the spiral's pattern.
#include "depth_place.glsl"

layout(binding = 1) uniform sampler2D occlusion;

in vec2 uv;
layout(location = 0) out float open;

void main() {
    vec2 texel = 1.0 / vec2(textureSize(occlusion, 0));
    float here = axis_distance(uv), sum = 0.0, weight = 0.0;
    for (int y = -2; y < 2; y++) {
        for (int x = -2; x < 2; x++) {
            vec2 at = uv + (vec2(x, y) + 0.5) * texel;
            float w = max(0.02, 1.0 - 12.0 * abs(axis_distance(at) - here) / here);
            sum += w * textureLod(occlusion, at, 0.0).r;
            weight += w;
        }
    }
    open = sum / weight;
}
