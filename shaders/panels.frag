#include "light.glsl"

layout(binding = 2) uniform sampler2D panel;  // sRGB-encoded, premultiplied alpha

in vec2 uv;
flat in float strength;
layout(location = 0) out vec4 pixel;

void main() {
    vec4 texel = texture(panel, vec2(uv.x, 1.0 - uv.y));
#ifdef LIGHT
    pixel = texel * strength;
#else
    vec3 straight = decode_srgb(texel.rgb / max(texel.a, 1e-4));
    pixel = finish_interface(straight, texel.a * strength);
#endif
}
