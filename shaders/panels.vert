// One text panel: a quad in the world, or on the screen with its corners in clip space.
#define VERTEX
#include "light.glsl"

uniform mat3x4 quad;  // lower left corner (w: 1 on the screen), right edge (w: opacity), upward edge

out vec2 uv;
flat out float strength;

void main() {
    uv = vec2(gl_VertexID & 1, gl_VertexID >> 1);
    strength = quad[1].w;
    vec3 p = quad[0].xyz + quad[1].xyz * uv.x + quad[2].xyz * uv.y;
    gl_Position = quad[0].w > 0.5 ? in_eye_half(vec4(p.xy, 1.0, 1.0), gl_InstanceID) : to_screen(p, gl_InstanceID);
}
