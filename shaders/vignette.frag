uniform float amount;

in vec2 place;
layout(location = 0) out vec4 pixel;

void main() {
    float r = length(place) / 1.15;
    float open = mix(1.1, 0.42, amount);
    pixel = vec4(0.0, 0.0, 0.0, min(amount * 3.0, 1.0) * smoothstep(open, open + 0.25, r));
}
