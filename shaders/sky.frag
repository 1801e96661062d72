// Soft drifting clouds and the sun before the sky's gradient.
#include "light.glsl"
#include "noise.glsl"

in vec3 ray;
in vec3 clear_sky;
in vec3 cloud_bright;
layout(location = 0) out vec4 pixel;

float cloud_density(vec2 p, int octaves) {
    float sum = 0.0, weight = 0.5, total = 0.0;
    for (int i = 0; i < octaves; i++) {
        sum += weight * noise(p);
        total += weight;
        p = mat2(1.62, 1.18, -1.18, 1.62) * p + 7.3;
        weight *= 0.5;
    }
    float d = clamp((sum / total - 0.50) * 3.3, 0.0, 1.0);
    return d * d * (3.0 - 2.0 * d);
}

#ifdef LIGHT
const int OCTAVES = 4, SHADE_OCTAVES = 1;
#else
const int OCTAVES = 7, SHADE_OCTAVES = 4;
#endif

void main() {
    vec3 d = normalize(ray);
    float toward_sun = dot(d, to_sun.xyz);
    vec3 disc = sun.rgb * (14.0 * clamp((toward_sun - 0.99962) * 8000.0, 0.0, 1.0));  // larger than life

    vec2 p = d.xz / (max(d.y, 0.0) + 0.10) * 1.1 + to_sun.w * vec2(0.006, 0.003);
    float density = cloud_density(p, OCTAVES);
    float thickness = cloud_density(p + to_sun.xz * 0.22, SHADE_OCTAVES);  // cloud between here and the sun
    vec3 shade = mix(horizon.rgb, zenith.rgb, 0.25) * 0.80;
    vec3 cloud = mix(cloud_bright, shade, 0.75 * thickness);
    pixel = finish(mix(clear_sky + disc, cloud, 0.85 * density * clamp(d.y * 5.0 - 0.1, 0.0, 1.0)));
}
