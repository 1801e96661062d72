// Tufts of grass around the viewer, made from nothing but the tuft's number; lit at the vertices.
#define VERTEX
#include "light.glsl"
#include "shadow.glsl"
#include "terrain.glsl"

out vec3 radiance;

const int BLADES = 5;

void main() {
    int eye = gl_InstanceID % counts.x;
    int tuft = gl_InstanceID / counts.x;
    ivec2 cell = ivec2(floor(viewer.xz / GRASS_CELL)) + ivec2(tuft % GRASS_SIDE, tuft / GRASS_SIDE) - GRASS_SIDE / 2;
    vec2 h = hash2(cell);
    vec2 p = (vec2(cell) + h) * GRASS_CELL;
    float away = distance(p, viewer.xz) / (0.5 * float(GRASS_SIDE) * GRASS_CELL);
    vec2 m = meadow(p);
    float bare = path_at(p, 0.5);
    float grows = smoothstep(0.35, 0.05, bare) * smoothstep(0.15, 0.45, m.y + 0.2 * h.x);
    float size = (0.55 + 0.75 * h.y) * grows * smoothstep(1.0, 0.7, away);

    int blade = gl_VertexID / 3, corner = gl_VertexID % 3;
    float k = fract(h.x * 37.0 + float(blade) * 0.381966);
    float turn = 6.2832 * k;
    vec2 out_dir = vec2(cos(turn), sin(turn));
    float height = (0.055 + 0.075 * fract(h.y * 13.0 + k * 3.0)) * size;
    float wind = sin(to_sun.w * 1.7 + p.x * 0.9 + p.y * 0.6) * 0.3 + 0.2;
    vec2 root = p + out_dir * 0.022 * size;
    vec2 side = vec2(-out_dir.y, out_dir.x) * (0.0085 * size);
    vec2 lean = out_dir * (0.45 + 0.4 * fract(k * 7.0)) * height + vec2(0.35, 0.2) * wind * height;
    vec2 at = corner == 2 ? root + lean : root + side * (corner == 0 ? -1.0 : 1.0);
    float y = land(p, 0.0).x;
    vec3 world = vec3(at.x, y + (corner == 2 ? height : -0.01), at.y);

    vec3 albedo = grass_colour(m + (k - 0.5) * 0.35) * (corner == 2 ? 1.75 : 0.75);
    vec3 n = normalize(vec3(out_dir.x * 0.35, 1.0, out_dir.y * 0.35));
    float lit = sun_visibility(world, vec3(0, 1, 0), 0.02);
    vec3 v = normalize(eyes[eye].xyz - world);
    float through = 0.35 * pow(max(dot(-v, to_sun.xyz), 0.0), 3.0);
    vec4 air = air_between(world, eyes[eye].xyz);
    radiance = albedo * (sun.rgb * ((max(dot(n, to_sun.xyz), 0.0) + through) * lit) + ambient(n)) * air.a + air.rgb;
    gl_Position = size > 0.02 ? to_screen(world, eye) : vec4(0.0, 0.0, -1.0, 0.0);
}
