// Physically based surface under sun and sky, with the rim glow of a marked object.
#include "light.glsl"
#include "shadow.glsl"

in Surface {
    vec3 world;
    vec3 normal;
    vec4 colour;
    vec3 material;
    flat vec4 highlight;
    flat vec3 eye;
    flat vec2 ground;
    flat float shadow_offset;
} surface;

layout(location = 0) out vec4 pixel;

void main() {
#ifdef OUTLINE
    float pulse = 0.85 + 0.15 * sin(to_sun.w * 4.0);
    pixel = finish_interface(surface.highlight.rgb * pulse, 1.0);
#else
    vec3 n = normalize(surface.normal);
    vec3 v = normalize(surface.eye - surface.world);
    float roughness = clamp(surface.colour.a, 0.08, 1.0), metalness = surface.material.x;
    vec3 f0 = mix(vec3(0.04), surface.colour.rgb, metalness);
    vec3 albedo = surface.colour.rgb * (1.0 - metalness);

    // Near the ground less sky is seen: more so by surfaces that face down or sideways.
    float height = surface.world.y - surface.ground.x;
    float open = clamp(height / surface.ground.y, 0.0, 1.0);
    float contact = mix(0.45 + 0.3 * max(n.y, 0.0), 1.0, open * (2.0 - open));
    float occlusion = surface.material.z * contact;

    float n_l = dot(n, to_sun.xyz);
    float lit = n_l > 0.0 ? sun_visibility(surface.world, n, surface.shadow_offset) : 0.0;
    float direct = max(n_l, 0.0) * lit;
    vec3 radiance = albedo * (sun.rgb * direct + ambient(n) * occlusion);
    radiance += sun.rgb * PI * sun_specular(n, v, max(n_l, 0.0), roughness, f0) * lit * 0.3183;
    radiance += sky_specular(n, v, roughness, f0, occlusion);
    radiance += surface.colour.rgb * surface.material.y * 2.5;

    float rim = 1.0 - max(dot(n, v), 0.0);
    float glow = surface.highlight.a * (0.10 + 0.9 * rim * rim * rim);
    radiance = mix(radiance, surface.highlight.rgb * 1.3, min(glow, 1.0));
    pixel = finish(fogged(radiance, surface.world, surface.eye));
#endif
}
