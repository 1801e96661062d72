// Rays, rings and keep marks as quads; one instance for each glyph and eye.
#define VERTEX
#include "light.glsl"

struct Glyph {
    vec4 a;  // start or centre; kind: 0 ray, 1 ring on the ground, 2 heart
    vec4 b;  // end; half width or radius in metres
    vec4 colour;
};
layout(std430, binding = 2) readonly buffer Glyphs { Glyph glyphs[]; };

out vec2 place;  // -1 … 1 over the quad
flat out int kind;
flat out vec3 colour;

void main() {
    int eye = gl_InstanceID % counts.x;
    Glyph g = glyphs[gl_InstanceID / counts.x];
    vec3 camera = eyes[eye].xyz;
    kind = int(g.a.w + 0.5);
    colour = g.colour.rgb;
    place = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0;
    vec3 world;
    if (kind == 0) {
        vec3 middle = mix(g.a.xyz, g.b.xyz, place.y * 0.5 + 0.5);
        vec3 across = cross(g.b.xyz - g.a.xyz, middle - camera);
        float half_m = max(g.b.w, 1.2 * viewer.w * distance(middle, camera));  // never thinner than a pixel
        world = middle + normalize(across + vec3(0.0, 1e-7, 0.0)) * (place.x * half_m);
    } else if (kind == 1) {
        world = g.a.xyz + vec3(place.x, 0.0, place.y) * (g.b.w * 1.25);
        world += normalize(camera - world) * 0.008 * distance(camera, world);
    } else {
        vec3 back = normalize(vec3(camera.x - g.a.x, 0.0, camera.z - g.a.z) + vec3(0.0, 0.0, 1e-6));
        float half_m = max(g.b.w, 7.0 * viewer.w * distance(g.a.xyz, camera));
        world = g.a.xyz + vec3(0.0, 0.03 * sin(to_sun.w * 2.2 + g.a.x * 3.0), 0.0);
        world += cross(vec3(0.0, 1.0, 0.0), back) * (place.x * half_m) + vec3(0.0, place.y * half_m, 0.0);
    }
    gl_Position = to_screen(world, eye);
}
