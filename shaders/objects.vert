// All objects of the scene, in one indirect draw: the command's base instance names the object, the
// instance within the command the eye.
#define VERTEX
#include "light.glsl"
#include "object_rows.glsl"

layout(location = 0) in vec3 in_position;
layout(location = 1) in vec4 in_normal;    // signed bytes read as unsigned ones
layout(location = 2) in vec4 in_colour;    // sRGB, roughness
layout(location = 3) in vec4 in_material;  // metalness, emission, occlusion

out Surface {
    vec3 world;
    vec3 normal;
    vec4 colour;    // linear, roughness
    vec3 material;  // metalness, emission, occlusion
    flat vec4 highlight;
    flat vec3 eye;
    flat vec2 ground;  // height of the ground under it, metres of a contact shadow's reach
    flat float shadow_offset;
} surface;

void main() {
    int eye = gl_InstanceID;
    Object object = objects[gl_BaseInstanceARB];
    vec3 snorm = in_normal.xyz * 255.0 / 127.0 - step(0.5, in_normal.xyz) * (256.0 / 127.0);
    vec3 normal = turned(object.orientation, snorm);
    vec3 world = turned(object.orientation, in_position * object.position_scale.w) + object.position_scale.xyz;
#ifdef OUTLINE
    float distance_m = distance(world, eyes[eye].xyz);
    world += normalize(normal) * (2.2 * viewer.w * distance_m);  // about two pixels wide at any distance
#endif
    surface.world = world;
    surface.normal = normal;
    surface.colour = vec4(decode_srgb(in_colour.rgb), in_colour.a);
    surface.material = in_material.xyz;
    surface.highlight = object.highlight;
    surface.eye = eyes[eye].xyz;
    surface.ground = vec2(object.half_ground.w, 0.05 + 0.5 * object.half_ground.y);
    surface.shadow_offset = object.position_scale.w * SHADOW_VOXEL;
    gl_Position = to_screen(world, eye);
}
