// Drawn once: a tile of cloud that repeats. Red: how dense; green: how much cloud lies towards the sun.
#include "frame.glsl"
#include "noise.glsl"

in vec2 uv;
layout(location = 0) out vec2 cloud;

const int PERIOD = 7;

float density_at(vec2 p, int octaves) {
    float shape = 0.0, weight = 0.5, total = 0.0;
    int period = PERIOD;
    for (int i = 0; i < octaves; i++) {
        float n = noise_tiled(p + float(period), period);  // moved by whole periods: stays positive
        shape += weight * (i < 2 ? n : 1.0 - abs(2.0 * n - 1.0));  // large soft shapes, small puffy ones
        total += weight;
        weight *= 0.5;
        p *= 2.0;
        period *= 2;
    }
    return shape / total;
}

void main() {
    vec2 p = uv * float(PERIOD);
    float here = density_at(p, 8);
    float sunward = 0.0;
    for (int i = 1; i <= 4; i++) sunward += density_at(p + to_sun.xz * (0.09 * float(i)) + float(PERIOD), 5);
    cloud = vec2(smoothstep(0.545, 0.68, here), smoothstep(0.47, 0.68, sunward * 0.25));
}
