// A disc around the viewer that reaches the horizon; flat where people walk, hills beyond.
#define VERTEX
#include "light.glsl"
#include "terrain.glsl"

layout(location = 0) in vec2 in_offset;  // metres from the viewer

out vec3 world;
out vec3 hill_normal;
out vec4 air;
flat out vec3 eye;

void main() {
    vec2 p = floor(viewer.xz / 2.0) * 2.0 + in_offset;  // in steps: the triangles do not slide under the feet
    // Hardly finer than the disc's own triangles: what lies between two vertices must not flicker as they move on.
    vec3 here = land(p, 0.6 * SPACING * length(in_offset));
    world = vec3(p.x, here.x, p.y);
    hill_normal = vec3(-here.y, 1.0, -here.z);
    eye = eyes[gl_InstanceID].xyz;
    air = air_between(world, eye);
    gl_Position = to_screen(world, gl_InstanceID);
}
