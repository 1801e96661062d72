#include "light.glsl"

in vec3 radiance;
layout(location = 0) out vec4 pixel;

void main() { pixel = finish(radiance); }
