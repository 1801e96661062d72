// The sky behind everything: a coarse grid over each eye's picture, at the far end of the depth range.
// What is smooth (gradient, glow, the colours of clouds) is worked out here.
#define VERTEX
#include "light.glsl"

const ivec2 CELLS = ivec2(24, 16);

out vec3 ray;
out vec3 clear_sky;
out vec3 cloud_bright;

void main() {
    int quad = gl_VertexID / 6, corner = gl_VertexID % 6;  // two triangles: 00 10 01, 10 11 01
    ivec2 at = ivec2(quad % CELLS.x, quad / CELLS.x) + ivec2(0x1A >> corner & 1, 0x34 >> corner & 1);
    vec2 ndc = vec2(at) / vec2(CELLS) * 2.0 - 1.0;
    ray = normalize((ray_from_ndc[gl_InstanceID] * vec4(ndc, 1.0, 0.0)).xyz);
    clear_sky = sky_gradient(ray);
    float toward = max(dot(ray, to_sun.xyz), 0.0);
    cloud_bright = sun.rgb * 0.46 + horizon.rgb * 0.40 + sun.rgb * (0.5 * toward * toward * toward * toward);
    gl_Position = in_eye_half(vec4(ndc, 0.0, 1.0), gl_InstanceID);
}
