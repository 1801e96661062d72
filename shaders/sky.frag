// Drifting clouds and the sun before the sky's gradient.
#include "light.glsl"

layout(binding = 1) uniform sampler2D cloud_tile;

in vec3 ray;
in vec3 clear_sky;
in vec3 cloud_bright;
layout(location = 0) out vec4 pixel;

void main() {
    vec3 d = normalize(ray);
    float disc = clamp((dot(d, to_sun.xyz) - 0.99962) * 8000.0, 0.0, 1.0);  // larger than life
    vec2 uv = d.xz * (0.16 / (max(d.y, 0.0) + 0.13)) + to_sun.w * vec2(0.0009, 0.0004);
#ifdef LIGHT
    vec2 cloud = textureLod(cloud_tile, uv, 0.0).rg;
#else
    vec2 cloud = texture(cloud_tile, uv).rg;
#endif
    vec3 shade = horizon.rgb * 0.98 + sun.rgb * 0.04;
    vec3 lit = mix(cloud_bright, shade, 0.9 * cloud.g);
    float cover = 0.94 * cloud.r * clamp(d.y * 6.0 - 0.15, 0.0, 1.0);
    pixel = finish(mix(clear_sky + sun.rgb * (14.0 * disc), lit, cover));
}
