// Multiplied with the picture: the sky's light is what creases lose, so the darkening is a little warm.
layout(binding = 1) uniform sampler2D occlusion;

in vec2 uv;
layout(location = 0) out vec4 pixel;

void main() {
    float open = textureLod(occlusion, uv, 0.0).r;
    pixel = vec4(mix(vec3(0.30, 0.25, 0.27), vec3(1.0), open), 1.0);
}
