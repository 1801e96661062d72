// Sun, sky, fog, and from radiance to pixels. Radiances are linear; irradiances are divided by pi.
#include "frame.glsl"

const float PI = 3.14159265;

// Khronos PBR Neutral: base colours come out as they were painted, only highlights are rolled off.
// https://github.com/KhronosGroup/ToneMapping/tree/main/PBR_Neutral
vec3 tone_map(vec3 c) {
    const float start = 0.8 - 0.04, desaturation = 0.15;
    float x = min(c.r, min(c.g, c.b));
    c -= x < 0.08 ? x - 6.25 * x * x : 0.04;
    float peak = max(c.r, max(c.g, c.b));
    float d = 1.0 - start;
    float rolled = 1.0 - d * d / (peak + d - start);
    float g = 1.0 / (desaturation * (peak - rolled) + 1.0);
    vec3 bright = mix(vec3(rolled), c * (rolled / max(peak, 1e-4)), g);
    return peak < start ? c : bright;
}

// Within 0.3 % of the sRGB curve by three square roots, several times cheaper than pow on a CPU.
vec3 encode_srgb(vec3 c) {
    vec3 a = sqrt(clamp(c, 0.0, 1.0)), b = sqrt(a), d = sqrt(b);
    return clamp(0.585122381 * a + 0.783140355 * b - 0.368262736 * d, 0.0, 1.0);
}

vec3 decode_srgb(vec3 c) { return c * (c * (c * 0.305306011 + 0.682171111) + 0.012522878); }

// The pixel of a lit surface. In the light preset it is finished, and its alpha is its brightness (which is
// what antialiasing looks at).
vec4 finish(vec3 radiance) {
#ifdef LIGHT
    vec3 encoded = encode_srgb(tone_map(radiance * sun.w));
    return vec4(encoded, dot(encoded, vec3(0.30, 0.59, 0.11)));
#else
    return vec4(radiance, 1.0);
#endif
}

// The pixel of an interface element, whose colour is to be seen as it is.
vec4 finish_interface(vec3 linear_colour, float alpha) {
#ifdef LIGHT
    return vec4(encode_srgb(linear_colour) * alpha, alpha);
#else
    return vec4(linear_colour / sun.w * alpha, alpha);
#endif
}

vec3 sky_gradient(vec3 d) {
    float up = max(d.y, 0.0);
    float t = 1.0 - up;
    float t2 = t * t;
    vec3 sky = mix(zenith.rgb, horizon.rgb, t2 * t2 * (0.35 + 0.65 * t2));
    float s = max(dot(d, to_sun.xyz), 0.0);
    float s2 = s * s, s8 = s2 * s2 * s2 * s2;
    return sky + sun.rgb * (0.05 * s2 + 0.10 * s8 * s8);
}

// Light from everywhere but the sun, on a surface facing n.
vec3 ambient(vec3 n) {
    float y = n.y;
    vec3 sky = mix(horizon.rgb, zenith.rgb, 0.55) * 0.92;
    vec3 side = mix(horizon.rgb * 0.52, bounce.rgb, 0.45);
    vec3 wrap = sun.rgb * (0.07 * max(dot(n.xz, to_sun.xz) + 0.3, 0.0));  // the bright half of the sky
    return (y > 0.0 ? mix(side, sky, y) : mix(side, bounce.rgb * 0.9, -y)) + wrap;
}

// Aerial perspective between eye and point: what the air adds, and the share that comes through. Smooth
// enough to be worked out at the vertices: radiance * air.a + air.rgb.
vec4 air_between(vec3 world, vec3 eye) {
    vec3 ray = world - eye;
    float distance_m = length(ray);
    float clear = exp2(-1.442695 * zenith.w * distance_m);
    float s = max(dot(ray, to_sun.xyz) / distance_m, 0.0);
    vec3 haze = horizon.rgb * 0.94 + sun.rgb * (0.10 * s * s * s);
    return vec4(haze * (1.0 - clear), clear);
}

// GGX with height-correlated Smith shadowing (Heitz 2014), times n·l; irradiance is over pi already.
vec3 sun_specular(vec3 n, vec3 v, float n_l, float roughness, vec3 f0) {
    vec3 h = normalize(v + to_sun.xyz);
    float n_v = max(dot(n, v), 1e-3), n_h = max(dot(n, h), 0.0), v_h = max(dot(v, h), 0.0);
    float a = roughness * roughness, a2 = a * a;
    float d = (n_h * a2 - n_h) * n_h + 1.0;
    float visibility = 0.5 / (n_l * sqrt(n_v * n_v * (1.0 - a2) + a2) + n_v * sqrt(n_l * n_l * (1.0 - a2) + a2) + 1e-4);
    float f = 1.0 - v_h;
    float f2 = f * f;
    vec3 fresnel = f0 + (1.0 - f0) * (f2 * f2 * f);
    return fresnel * (visibility * n_l * min(a2 / (d * d), 64.0));
}

// What a surface mirrors of the sky: Karis' fit of the split-sum integral, and a gradient that
// roughness flattens.
vec3 sky_specular(vec3 n, vec3 v, float roughness, vec3 f0, float occlusion) {
    float n_v = max(dot(n, v), 0.0);
    vec3 r = reflect(-v, n);
    vec4 k = roughness * vec4(-1.0, -0.0275, -0.572, 0.022) + vec4(1.0, 0.0425, 1.04, -0.04);
    float a = min(k.x * k.x, exp2(-9.28 * n_v)) * k.x + k.y;
    vec2 scale_bias = vec2(-1.04, 1.04) * a + k.zw;
    float above = smoothstep(-0.25 - roughness * 0.6, 0.12 + roughness * 0.6, r.y);
    vec3 mirrored = mix(bounce.rgb, sky_gradient(vec3(r.x, max(r.y, 0.02), r.z)), above);
    vec3 seen = mix(mirrored, ambient(r), roughness * roughness);
    return seen * (f0 * scale_bias.x + scale_bias.y) * occlusion;
}
