// The sky behind everything: a coarse grid over each eye's picture, at the far end of the depth range.
// What is smooth (gradient, glow, the colours of clouds) is worked out here.
#define VERTEX
#include "light.glsl"

const ivec2 CELLS = ivec2(24, 16);

out vec3 ray;
out vec3 clear_sky;
out vec3 cloud_bright;

void main() {
    int quad = gl_VertexID / 6, corner = gl_VertexID % 6;
    ivec2 step_ = corner == 0 ? ivec2(0) : corner == 1 || corner == 3 ? ivec2(1, 0) : corner == 2 || corner == 5 ? ivec2(0, 1) : ivec2(1);
    vec2 ndc = vec2(ivec2(quad % CELLS.x, quad / CELLS.x) + step_) / vec2(CELLS) * 2.0 - 1.0;
    ray = normalize((ray_from_ndc[gl_InstanceID] * vec4(ndc, 1.0, 0.0)).xyz);
    clear_sky = sky_gradient(ray);
    float toward = max(dot(ray, to_sun.xyz), 0.0);
    cloud_bright = sun.rgb * 0.46 + horizon.rgb * 0.40 + sun.rgb * (0.5 * toward * toward * toward * toward);
    gl_Position = in_eye_half(vec4(ndc, 0.0, 1.0), gl_InstanceID);
}
