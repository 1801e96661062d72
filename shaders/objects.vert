// All objects of the scene in one indirect draw: the command's base instance picks the object's row, the
// instance within the command is the eye. The light preset shades here: its triangles are a few pixels
// large, and a software rasteriser pays far less for a vertex than for the pixels around it.
#define VERTEX
#include "surface.glsl"
#include "object_rows.glsl"

layout(location = 0) in vec3 in_position;
layout(location = 1) in vec4 in_normal;    // signed bytes read as unsigned ones
layout(location = 2) in vec4 in_colour;    // sRGB, roughness
layout(location = 3) in vec4 in_material;  // metalness, emission, occlusion

#if defined(OUTLINE)
flat out vec3 outline;
#elif defined(LIGHT)
out vec3 shaded;
#else
out Surface surface;
out vec4 air;
flat out vec3 eye;
#endif

void main() {
    vec3 camera = eyes[gl_InstanceID].xyz;
    vec3 snorm = in_normal.xyz * (255.0 / 127.0) - step(0.5, in_normal.xyz) * (256.0 / 127.0);
    Surface s;
    s.normal = turned(row_orientation, snorm);
    s.world = placed(in_position);
#if defined(OUTLINE)
    s.world += normalize(s.normal) * (2.2 * viewer.w * distance(s.world, camera));  // two pixels at any distance
    outline = row_highlight.rgb * (0.85 + 0.15 * sin(to_sun.w * 4.0));
#else
    s.colour = vec4(decode_srgb(in_colour.rgb), in_colour.a);
    s.material = in_material.xyz;
    s.highlight = row_highlight;
    s.ground = vec2(row_half_ground.w, 0.05 + 0.5 * row_half_ground.y);
    s.shadow_offset = min(row_position_scale.w, 2.5) * SHADOW_VOXEL;
    vec4 between = air_between(s.world, camera);
#ifdef LIGHT
    shaded = surface_radiance(s, camera) * between.a + between.rgb;
#else
    surface = s;
    air = between;
    eye = camera;
#endif
#endif
    gl_Position = to_screen(s.world, gl_InstanceID);
}
