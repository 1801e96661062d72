#include "light.glsl"

layout(binding = 2) uniform sampler2D panel;  // sRGB-encoded, straight alpha

in vec2 uv;
flat in float strength;
layout(location = 0) out vec4 pixel;

void main() {
    vec4 texel = texture(panel, vec2(uv.x, 1.0 - uv.y));
    float alpha = texel.a * strength;
#ifdef LIGHT
    pixel = vec4(texel.rgb * alpha, alpha);
#else
    pixel = finish_interface(decode_srgb(texel.rgb), alpha);
#endif
}
