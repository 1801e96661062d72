// Objects in their vertices' own colours, for one view: what `bench frame --peer` compares with.
#include "frame.glsl"
#include "object_rows.glsl"

layout(location = 0) in vec3 in_position;
layout(location = 2) in vec4 in_colour;

out vec3 colour;

void main() {
    colour = in_colour.rgb;
    gl_Position = clip_from_world[0] * vec4(placed(in_position), 1.0);
#ifdef DEPTH_MINUS_ONE_TO_ONE
    gl_Position.z = 2.0 * gl_Position.z - gl_Position.w;
#endif
}
