// From the double-wide depth picture back to places in the world.
#include "frame.glsl"

layout(binding = 0) uniform sampler2D depth_picture;  // reversed: NEAR / distance along the view axis

const float NEAR = 0.05;

float axis_distance(vec2 uv) { return NEAR / max(textureLod(depth_picture, uv, 0.0).r, 1e-7); }

int eye_at(vec2 uv) { return counts.x == 2 && uv.x >= 0.5 ? 1 : 0; }

// Relative to the eye; at the middle of the texel that holds uv, for which its depth is true.
vec3 place_at(vec2 uv, int eye) {
    vec2 size = vec2(textureSize(depth_picture, 0));
    uv = (floor(uv * size) + 0.5) / size;
    vec2 ndc = uv * 2.0 - 1.0;
    if (counts.x == 2) ndc.x = ndc.x * 2.0 + (eye == 0 ? 1.0 : -1.0);
    return (ray_from_ndc[eye] * vec4(ndc, 1.0, 0.0)).xyz * axis_distance(uv);
}
