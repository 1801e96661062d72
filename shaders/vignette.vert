// A dark frame before each eye's picture.
#define VERTEX
#include "frame.glsl"

out vec2 place;

void main() {
    place = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0;
    gl_Position = in_eye_half(vec4(place, 1.0, 1.0), gl_InstanceID);
}
