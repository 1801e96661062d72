// Meadow with paths, pebbles and daisies. Each detail fades out before it is smaller than a pixel.
#include "light.glsl"
#include "shadow.glsl"
#include "terrain.glsl"

in vec3 world;
in vec3 hill_normal;
flat in vec3 eye;
layout(location = 0) out vec4 pixel;

// How much of a detail of this wavelength is left where a pixel covers `footprint` metres.
float visible(float wavelength, float footprint) { return 1.0 - smoothstep(0.20, 0.55, footprint / wavelength); }

struct Spot { float inside; vec2 slope; float pick; };

// At most one round spot in each cell, wholly within it.
Spot spot_at(vec2 p, float cell_m, float share, float largest) {
    vec2 q = p / cell_m, cell = floor(q);
    vec2 h = hash2(ivec2(cell));
    float r = largest * (0.45 + 0.55 * fract(h.x * 57.0));
    vec2 d = q - cell - (0.5 + (h - 0.5) * (1.0 - 2.0 * r));
    float inside = 1.0 - length(d) / r;
    return Spot(fract(h.y * 91.0) < share ? inside : -1.0, d / r, h.x);
}

void main() {
    vec3 ray = world - eye;
    float distance_m = length(ray);
    vec3 v = -ray / distance_m;
    vec3 n0 = normalize(hill_normal);
    float footprint = viewer.w * distance_m / max(dot(v, n0), 0.03) * 0.75;
    vec2 p = world.xz;

    vec3 clump = noise_slope(p / 0.83) - vec3(0.5, 0.0, 0.0);
    vec3 tuft = noise_slope(p / 0.21 + clump.yz * 0.4) - vec3(0.5, 0.0, 0.0);
    clump *= visible(0.83, footprint);
    tuft *= visible(0.21, footprint);
    vec3 blade = noise_slope(p / vec2(0.050, 0.043) + tuft.yz * 0.8) - vec3(0.5, 0.0, 0.0);
    blade *= visible(0.050, footprint);

    float path = path_at(p, 0.5 + clump.x + 0.5 * tuft.x) * n0.y * n0.y;
    vec2 m = meadow(p);
    float grain = 0.9 * clump.x + 0.9 * tuft.x + 0.9 * blade.x;
    vec3 grass = grass_colour(m + vec2(0.5 * clump.x, 0.6 * tuft.x)) * (1.0 + 0.65 * grain);
    vec3 earth = mix(vec3(0.40, 0.285, 0.165), vec3(0.52, 0.40, 0.255), clamp(0.5 + m.y - 0.5 + clump.x + tuft.x, 0.0, 1.0));
    earth *= 1.0 + 0.3 * tuft.x + 0.3 * blade.x;
    vec3 albedo = mix(grass, earth, path);
    vec2 slope = clump.yz * 0.20 + tuft.yz * mix(0.26, 0.10, path) + blade.yz * mix(0.30, 0.12, path);

    float fine = visible(0.10, footprint);
    Spot pebble = spot_at(p, 0.19, 0.25 + 0.35 * path, 0.26);
    float stone = smoothstep(0.0, 0.18, pebble.inside) * fine * smoothstep(0.25, 0.7, path);
    albedo = mix(albedo, mix(vec3(0.34, 0.30, 0.27), vec3(0.62, 0.57, 0.50), pebble.pick), stone);
    slope = mix(slope, pebble.slope * 0.9, stone);
    Spot daisy = spot_at(p + 3.1, 0.27, 0.30 * smoothstep(0.45, 0.7, m.y), 0.085);
    float petal = smoothstep(0.0, 0.25, daisy.inside) * visible(0.07, footprint) * (1.0 - path);
    vec3 bloom = daisy.inside > 0.62 ? vec3(0.90, 0.62, 0.05) : mix(vec3(0.95, 0.93, 0.88), vec3(0.95, 0.62, 0.70), step(0.72, daisy.pick));
    albedo = mix(albedo, bloom, petal);
    slope *= 1.0 - petal;

    vec3 n = normalize(n0 + vec3(-slope.x, 0.0, -slope.y) * 0.55);
    float n_l = max(dot(n, to_sun.xyz), 0.0);
    float lit = sun_visibility(world, n0, 0.01);
    // Grass lets light through: brighter against the sun, as meadows are.
    float through = (1.0 - path) * 0.22 * pow(max(dot(-v, to_sun.xyz), 0.0), 3.0);
    vec3 radiance = albedo * (sun.rgb * (n_l + through) * lit + ambient(n) * (1.0 + 0.5 * min(grain, 0.0)));
    pixel = finish(fogged(radiance, world, eye));
}
