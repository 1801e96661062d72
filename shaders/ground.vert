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
    float step_m = max(0.25, 0.02 * length(in_offset));
    float h = ground_height(p);
    world = vec3(p.x, h, p.y);
    hill_normal = vec3(h - ground_height(p + vec2(step_m, 0.0)), step_m, h - ground_height(p + vec2(0.0, step_m)));
    eye = eyes[gl_InstanceID].xyz;
    air = air_between(world, eye);
    gl_Position = to_screen(world, gl_InstanceID);
}
