// The sky behind everything: one triangle for each eye, at the far end of the depth range.
#define VERTEX
#include "frame.glsl"

out vec3 ray;

void main() {
    int eye = gl_InstanceID;
    vec2 ndc = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0;
    ray = (ray_from_ndc[eye] * vec4(ndc, 1.0, 0.0)).xyz;
    gl_Position = in_eye_half(vec4(ndc, 0.0, 1.0), eye);
}
