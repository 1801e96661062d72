// Meadow with paths, pebbles and daisies. Each detail fades out before it is smaller than a pixel; far
// from the viewer (FAR) the small ones are left out altogether.
#include "light.glsl"
#include "shadow.glsl"
#include "terrain.glsl"

in vec3 world;
in vec3 hill_normal;
in vec4 air;
flat in vec3 eye;
layout(location = 0) out vec4 pixel;

// How much of a detail of this wavelength is left where a pixel covers `footprint` metres.
float visible(float wavelength, float footprint) {
    return clamp(1.57 - footprint * (2.86 / wavelength), 0.0, 1.0);
}

vec3 relief(vec2 p, float amount) { return (noise_slope(p) - vec3(0.5, 0.0, 0.0)) * amount; }

struct Paint { vec3 albedo; vec2 slope; float grain; float path; };

// At most one round spot in each cell, wholly within it; x: 1 in its middle to 0 at its edge, yz: slope, w: pick.
vec4 spot_at(vec2 p, float cell_m, float share, float largest) {
    vec2 q = p / cell_m, cell = floor(q);
    vec2 h = hash2(ivec2(cell));
    float r = largest * (0.45 + 0.55 * fract(h.x * 57.0));
    vec2 d = (q - cell - (0.5 + (h - 0.5) * (1.0 - 2.0 * r))) / r;
    return vec4(fract(h.y * 91.0) < share ? 1.0 - length(d) : -1.0, d, h.x);
}

#ifndef FAR
void add_spots(inout Paint paint, vec2 p, float shade, float footprint) {
    vec4 pebble = spot_at(p, 0.19, 0.25 + 0.35 * paint.path, 0.26);
    float stone = clamp(pebble.x * 5.0, 0.0, 1.0) * visible(0.10, footprint) * clamp(paint.path * 2.2 - 0.55, 0.0, 1.0);
    paint.albedo = mix(paint.albedo, mix(vec3(0.34, 0.30, 0.27), vec3(0.62, 0.57, 0.50), pebble.w), stone);
    paint.slope = mix(paint.slope, pebble.yz * 0.9, stone);

    vec4 daisy = spot_at(p + 3.1, 0.27, clamp(shade * 1.2 - 0.54, 0.0, 0.30), 0.085);
    float petal = clamp(daisy.x * 4.0, 0.0, 1.0) * visible(0.07, footprint) * (1.0 - paint.path);
    vec3 white_or_pink = daisy.w > 0.72 ? vec3(0.95, 0.62, 0.70) : vec3(0.95, 0.93, 0.88);
    paint.albedo = mix(paint.albedo, daisy.x > 0.62 ? vec3(0.90, 0.62, 0.05) : white_or_pink, petal);
    paint.slope *= 1.0 - petal;
}
#endif

Paint paint_at(vec2 p, float footprint, float level) {
    vec3 clump = relief(p / 0.83, visible(0.83, footprint));
#ifdef FAR
    vec3 tuft = vec3(0.0), blade = vec3(0.0);
#else
    vec3 tuft = relief(p / 0.21 + clump.yz * 0.4, visible(0.21, footprint));
    vec3 blade = relief(p / vec2(0.050, 0.043) + tuft.yz * 0.8, visible(0.050, footprint));
#endif
    vec2 m = meadow(p);
    float grain = 0.45 * clump.x + 0.8 * tuft.x + 1.1 * blade.x;
    float path = path_at(p, 0.5 + clump.x + 0.5 * tuft.x) * level;
    vec3 grass = grass_colour(m + vec2(0.3 * clump.x, 0.5 * tuft.x)) * (1.0 + 0.65 * grain);
    vec3 earth = mix(vec3(0.40, 0.285, 0.165), vec3(0.52, 0.40, 0.255), clamp(m.y + clump.x + tuft.x, 0.0, 1.0));
    earth *= 1.0 + 0.3 * (tuft.x + blade.x);
    vec2 slope = clump.yz * 0.13 + tuft.yz * mix(0.24, 0.10, path) + blade.yz * mix(0.34, 0.12, path);
    Paint paint = Paint(mix(grass, earth, path), slope, grain, path);
#ifdef FAR
    float steep = smoothstep(0.88, 0.72, level + 0.2 * clump.x);  // too steep for meadows and woods: bare earth and rock
    paint.albedo = mix(paint.albedo, vec3(0.052, 0.115, 0.048), 0.85 * woods_at(p) * (1.0 - steep));
    paint.albedo = mix(paint.albedo, vec3(0.27, 0.22, 0.15) * (0.8 + 0.5 * m.y), 0.75 * steep);
#else
    add_spots(paint, p, m.y, footprint);
#endif
    return paint;
}

void main() {
    vec3 ray = world - eye;
    float per_m = inversesqrt(dot(ray, ray));
    vec3 v = ray * -per_m;
    vec3 n0 = normalize(hill_normal);
    float footprint = 0.75 * viewer.w / (per_m * max(dot(v, n0), 0.03));
#if defined(FAR) && !defined(LIGHT)
    vec2 slope = land(world.xz, 4.0 * viewer.w / per_m).yz;  // the light knows finer relief than the triangles
    n0 = normalize(vec3(-slope.x, 1.0, -slope.y));
#endif
    Paint paint = paint_at(world.xz, footprint, n0.y * n0.y);

    vec3 n = normalize(n0 - vec3(paint.slope.x, 0.0, paint.slope.y) * 0.55);
    float n_l = max(dot(n, to_sun.xyz), 0.0);
#ifdef FAR
    float lit = 1.0;
#else
    float lit = sun_visibility(world, n0, 0.01);
#endif
    // Grass lets light through: brighter against the sun, as meadows are.
    float against = max(-dot(v, to_sun.xyz), 0.0);
    float through = (1.0 - paint.path) * 0.22 * against * against * against;
    vec3 sky_light = ambient(n0) * (1.0 + 0.5 * min(paint.grain, 0.0));
    vec3 radiance = paint.albedo * (sun.rgb * ((n_l + through) * lit) + sky_light);
    pixel = finish(radiance * air.a + air.rgb);
}
