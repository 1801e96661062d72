// The light that an object's surface sends to the eye: metallic-roughness material under sun and sky.
#include "light.glsl"
#include "shadow.glsl"

struct Surface {
    vec3 world;
    vec3 normal;
    vec4 colour;     // linear, roughness
    vec3 material;   // metalness, emission, occlusion
    vec4 highlight;  // linear RGB, strength
    vec2 ground;     // height of the ground under the object, reach of its contact shadow in metres
    float shadow_offset;  // metres along the normal that hide the casters' coarser shape
};

vec3 surface_radiance(Surface s, vec3 eye) {
    vec3 n = normalize(s.normal), v = normalize(eye - s.world);
    float roughness = clamp(s.colour.a, 0.08, 1.0), metalness = s.material.x;
    vec3 f0 = mix(vec3(0.04), s.colour.rgb, metalness);
    vec3 albedo = s.colour.rgb * (1.0 - metalness);

    // Near the ground less sky is seen: more so by surfaces that face down or sideways.
    float open = clamp((s.world.y - s.ground.x) / s.ground.y, 0.0, 1.0);
    float contact = mix(0.45 + 0.3 * max(n.y, 0.0), 1.0, open * (2.0 - open));
    float occlusion = s.material.z * contact;

    float n_l = max(dot(n, to_sun.xyz), 0.0);
    float lit = sun_visibility(s.world, n, s.shadow_offset);
    vec3 radiance = albedo * (sun.rgb * (n_l * lit) + ambient(n) * occlusion);
    radiance += sun.rgb * sun_specular(n, v, n_l, roughness, f0) * lit;
    radiance += sky_specular(n, v, roughness, f0, occlusion);
    radiance += s.colour.rgb * (s.material.y * 2.5);

    float rim = 1.0 - max(dot(n, v), 0.0);
    float glow = s.highlight.a * (0.07 + 0.55 * rim * rim * rim * rim);
    return mix(radiance, s.highlight.rgb * 1.3, min(glow, 1.0));
}
