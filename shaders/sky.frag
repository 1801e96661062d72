// Gradient, sun, and soft drifting clouds.
#include "light.glsl"
#include "noise.glsl"

in vec3 ray;
layout(location = 0) out vec4 pixel;

#ifdef LIGHT
const int OCTAVES = 3;
#else
const int OCTAVES = 6;
#endif

float cloud_density(vec2 p) {
    float sum = 0.0, weight = 0.5, total = 0.0;
    for (int i = 0; i < OCTAVES; i++) {
        sum += weight * noise(p);
        total += weight;
        p = mat2(1.62, 1.18, -1.18, 1.62) * p + 7.3;
        weight *= 0.5;
    }
    return smoothstep(0.50, 0.80, sum / total);
}

void main() {
    vec3 d = normalize(ray);
    vec3 radiance = sky_gradient(d);
    float toward_sun = max(dot(d, to_sun.xyz), 0.0);
    radiance += sun.rgb * 14.0 * smoothstep(0.99962, 0.99975, toward_sun);  // a disc somewhat larger than life

    float up = max(d.y, 0.0) + 0.10;
    vec2 p = d.xz / up * 1.1 + to_sun.w * vec2(0.006, 0.003);
    float density = cloud_density(p);
    vec2 step_to_sun = to_sun.xz * 0.22;
    float thickness = cloud_density(p + step_to_sun);  // cloud between here and the sun
    vec3 bright = sun.rgb * 0.40 + horizon.rgb * 0.35 + sun.rgb * (0.5 * pow(toward_sun, 8.0));
    vec3 shade = mix(horizon.rgb, zenith.rgb, 0.25) * 0.80;
    vec3 cloud = mix(bright, shade, 0.75 * thickness);
    radiance = mix(radiance, cloud, 0.85 * density * smoothstep(0.02, 0.22, d.y));
    pixel = finish(radiance);
}
