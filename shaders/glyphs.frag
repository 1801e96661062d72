#include "light.glsl"

in vec2 place;
flat in int kind;
flat in vec3 colour;
layout(location = 0) out vec4 pixel;

float ray_alpha() {
    float across = 1.0 - place.x * place.x;
    float along = place.y * 0.5 + 0.5;
    return across * (0.15 + 0.75 * along * along) * smoothstep(0.0, 0.06, along);
}

float ring_alpha() {
    float r = length(place) * 1.25;
    float line = 1.0 - smoothstep(0.0, 0.07, abs(r - 1.0));
    float wave = fract(r - to_sun.w * 0.6);
    float inner = (1.0 - smoothstep(0.7, 1.0, r)) * (0.12 + 0.25 * smoothstep(0.75, 1.0, wave));
    return clamp(line + inner, 0.0, 1.0);
}

float heart_alpha() {
    vec2 p = vec2(abs(place.x) * 1.15, place.y * 1.1 + 0.62);
    float lobe = length(p - vec2(0.25, 0.75)) - 0.35355;
    float tip = min(length(p - vec2(0.0, 1.0)), length(p - 0.5 * max(p.x + p.y, 0.0))) * sign(p.x - p.y);
    float d = p.x + p.y > 1.0 ? lobe : tip;
    float soft = max(fwidth(d), 0.01);
    return 1.0 - smoothstep(-soft, soft, d);
}

void main() {
    float alpha = kind == 0 ? ray_alpha() : kind == 1 ? ring_alpha() : heart_alpha();
    vec3 tint = kind == 2 ? mix(colour, vec3(1.0), 0.25 * smoothstep(0.0, 0.8, place.y)) : colour;
    pixel = finish_interface(tint, alpha);
}
