// The shape and the paint of the ground, shared by the ground itself and the grass that grows on it.
#include "noise.glsl"

// Height in metres, slope along x and z: drawn by a network, repeating every terrain.x metres.
layout(binding = 1) uniform sampler2D height_field;

// Scenery.height_at (vrapp/render/scenery.py) has the same three numbers.
const float FLAT_M = 75.0, WILD_M = 420.0;  // from the valley's middle: level up to the one, all of the relief from the other
const float RIM_M = 42.0;                   // how much higher the land lies there

// Height and slopes of the land at p, as seen at this many metres a sample.
vec3 land(vec2 p, float sample_m) {
    vec2 from = p - terrain.yz;
    float r = length(from), t = clamp((r - FLAT_M) / (WILD_M - FLAT_M), 0.0, 1.0);
    if (t <= 0.0 || terrain.x <= 0.0) return vec3(0.0);
    float away = t * t * (3.0 - 2.0 * t), steeper = 6.0 * t * (1.0 - t) / (WILD_M - FLAT_M);
    vec3 field = textureLod(height_field, p / terrain.x, log2(max(sample_m / terrain.w, 1.0))).xyz;
    vec2 slope = steeper * (field.x + 2.0 * RIM_M * away) / r * from + away * field.yz;
    return vec3(away * (field.x + RIM_M * away), slope);
}

// Meadow: x dryness, y shade of the large patches.
vec2 meadow(vec2 p) { return vec2(noise(p / 17.0), noise(p / 5.3 + 11.0)); }

// 1 in the middle of a trodden path, 0 on grass: a band about a level line of slow noise.
float path_at(vec2 p, float ragged) {
    float level = noise(p / 27.0 + vec2(0.31, 0.77)) * 0.8 + noise(p / 9.0) * 0.2;
    float off = abs(level - 0.47) * 27.0 + (ragged - 0.5) * 1.1;
    return smoothstep(1.15, 0.35, off) * smoothstep(95.0, 55.0, distance(p, terrain.yz));
}

// Woods on the far hills, as patches of dark: 0 none.
float woods_at(vec2 p) {
    float patches = noise(p / 47.0 + 5.1) * 0.62 + noise(p / 13.0) * 0.38;
    return smoothstep(0.50, 0.60, patches) * smoothstep(120.0, 260.0, distance(p, terrain.yz));
}

vec3 grass_colour(vec2 m) {
    const vec3 lush = vec3(0.175, 0.300, 0.058), dry = vec3(0.380, 0.390, 0.105), deep = vec3(0.095, 0.205, 0.048);
    vec3 c = mix(lush, dry, smoothstep(0.35, 0.85, m.x) * 0.85);
    return mix(c, deep, smoothstep(0.45, 0.95, m.y) * 0.45);
}
