// Value noise by integer hashing: the same on every GPU, no textures, no sine.
float hash(ivec2 p) {
    uint h = uint(p.x) * 0x9E3779B1u ^ uint(p.y) * 0x85EBCA6Bu;
    h ^= h >> 15;
    h *= 0x2C1B3C6Du;
    h ^= h >> 13;
    return float(h & 0xFFFFFFu) * (1.0 / 16777216.0);
}

vec2 hash2(ivec2 p) {
    float h = hash(p);
    return vec2(h, fract(h * 4096.0));
}

// Value in [0, 1], and its slope in units of p.
vec3 noise_slope(vec2 p) {
    vec2 cell = floor(p), f = p - cell;
    ivec2 i = ivec2(cell);
    vec2 u = f * f * (3.0 - 2.0 * f), du = 6.0 * f * (1.0 - f);
    float a = hash(i), b = hash(i + ivec2(1, 0)), c = hash(i + ivec2(0, 1)), d = hash(i + ivec2(1, 1));
    float k = a - b - c + d;
    return vec3(a + (b - a) * u.x + (c - a) * u.y + k * u.x * u.y, du * (vec2(b - a, c - a) + k * u.yx));
}

float noise(vec2 p) {
    vec2 cell = floor(p), f = p - cell;
    ivec2 i = ivec2(cell);
    vec2 u = f * f * (3.0 - 2.0 * f);
    return mix(mix(hash(i), hash(i + ivec2(1, 0)), u.x), mix(hash(i + ivec2(0, 1)), hash(i + ivec2(1, 1)), u.x), u.y);
}

// The same with a period: repeats every `period` cells in both directions.
float noise_tiled(vec2 p, int period) {
    vec2 cell = floor(p), f = p - cell;
    ivec2 i = ivec2(cell) % period, j = (i + 1) % period;
    vec2 u = f * f * (3.0 - 2.0 * f);
    return mix(mix(hash(i), hash(ivec2(j.x, i.y)), u.x), mix(hash(ivec2(i.x, j.y)), hash(j), u.x), u.y);
}
