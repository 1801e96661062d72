in vec2 place;
flat in vec2 half_size;
flat in vec2 reach_strength;
layout(location = 0) out vec4 pixel;

void main() {  // multiplied with the ground that is there
    vec2 q = abs(place) - half_size;
    float outside = length(max(q, 0.0)) + min(max(q.x, q.y), 0.0);
    float near = clamp(1.0 - max(outside, -0.3 * reach_strength.x) / reach_strength.x, 0.0, 1.0);
    float dark = reach_strength.y * near * near;
    pixel = vec4(mix(vec3(1.0), vec3(0.20, 0.17, 0.22), dark), 1.0);
}
