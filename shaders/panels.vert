// One text panel: a quad in the world, or on the screen with its corners in clip space.
#define VERTEX
#include "light.glsl"

uniform vec3 corner, right, up;  // of the quad: its lower left corner and its edges
uniform bool on_screen;
uniform float opacity;

out vec2 uv;
flat out float strength;

void main() {
    uv = vec2(gl_VertexID & 1, gl_VertexID >> 1);
    strength = opacity;
    vec3 p = corner + right * uv.x + up * uv.y;
    gl_Position = on_screen ? in_eye_half(vec4(p.xy, 1.0, 1.0), gl_InstanceID) : to_screen(p, gl_InstanceID);
}
