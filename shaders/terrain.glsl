// The shape and the paint of the ground, shared by the ground itself and the grass that grows on it.
#include "noise.glsl"

layout(binding = 1) uniform sampler2D height_field;  // metres, over ±terrain.x around the origin

float hill_height(vec2 p) {
    float away = smoothstep(75.0, 420.0, distance(p, terrain.yz));
    if (away <= 0.0) return 0.0;
    return away * (88.0 * noise(p / 310.0 + 3.7) * away + 26.0 * noise(p / 120.0) + 5.0 * noise(p / 41.0) - 18.0);
}

float ground_height(vec2 p) {
    float h = hill_height(p);
    if (terrain.x > 0.0) {
        vec2 uv = p / (2.0 * terrain.x) + 0.5;
        vec2 inside = smoothstep(vec2(0.0), vec2(0.06), uv) * smoothstep(vec2(0.0), vec2(0.06), 1.0 - uv);
        h += textureLod(height_field, uv, 0.0).r * inside.x * inside.y;
    }
    return h;
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
