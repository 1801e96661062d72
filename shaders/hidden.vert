// What the lenses of a headset hide, put at the near plane before all else: nothing behind it is shaded.
#define VERTEX
#include "frame.glsl"

uniform int eye;
uniform vec4 ndc_from_tangent;  // scale, offset

in vec2 in_tangent;  // in the plane one metre before the eye

void main() {
    gl_Position = in_eye_half(vec4(in_tangent * ndc_from_tangent.xy + ndc_from_tangent.zw, 1.0, 1.0), eye);
}
