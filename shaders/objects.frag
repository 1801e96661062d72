#include "surface.glsl"

#if defined(OUTLINE)
flat in vec3 outline;
#elif defined(LIGHT)
in vec3 shaded;
#else
in Surface surface;
in vec4 air;
flat in vec3 eye;
#endif
layout(location = 0) out vec4 pixel;

void main() {
#if defined(OUTLINE)
    pixel = finish_interface(outline, 1.0);
#elif defined(LIGHT)
    pixel = finish(shaded);
#else
    pixel = finish(surface_radiance(surface, eye) * air.a + air.rgb);
#endif
}
