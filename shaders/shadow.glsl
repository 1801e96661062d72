// How much of the sun arrives: percentage-closer filtering of reversed-depth maps in one atlas.
layout(binding = 0) uniform sampler2DShadow shadow_atlas;

vec3 shadow_place(int cascade, vec3 world) { return (shadow_from_world[cascade] * vec4(world, 1.0)).xyz; }

bool in_tile(int cascade, vec2 uv, float margin) {
    vec4 tile = shadow_tile[cascade];
    return all(greaterThan(uv, tile.xy + margin)) && all(lessThan(uv, tile.zw - margin));
}

#ifdef LIGHT
// One bilinear comparison, which is what a software rasteriser can pay; fades out towards the map's edge.
float sun_visibility(vec3 world, vec3 n, float normal_offset) {
    vec3 p = shadow_place(0, world + n * normal_offset);
    vec2 from_middle = abs(p.xy - 0.5) * 2.0;
    float edge = max(from_middle.x, from_middle.y);
    return max(texture(shadow_atlas, p), clamp(edge * 6.0 - 4.8, 0.0, 1.0));
}
#else
const int TAPS = 12;

float cascade_visibility(int cascade, vec3 world, vec3 n, float normal_offset, float turn) {
    float texel_m = shadow_texel[cascade];
    vec3 p = shadow_place(cascade, world + n * (normal_offset + 1.5 * texel_m));
    vec4 tile = shadow_tile[cascade];
    vec2 radius = max(shadow_texel.w, 1.2 * texel_m) / texel_m / vec2(textureSize(shadow_atlas, 0));
    float lit = 0.0;
    for (int i = 0; i < TAPS; i++) {  // Vogel's spiral, turned by pixel
        float r = sqrt((float(i) + 0.5) / float(TAPS)), a = 2.39996 * float(i) + turn;
        vec2 uv = clamp(p.xy + radius * r * vec2(cos(a), sin(a)), tile.xy, tile.zw);
        lit += texture(shadow_atlas, vec3(uv, p.z));
    }
    return lit / float(TAPS);
}

float sun_visibility(vec3 world, vec3 n, float normal_offset) {
#ifdef VERTEX
    float turn = 0.0;
#else
    float turn = 6.2832 * fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715))));
#endif
    for (int c = 0; c < counts.y; c++) {
        vec2 uv = shadow_place(c, world).xy;
        if (!in_tile(c, uv, 0.004)) continue;
        float lit = cascade_visibility(c, world, n, normal_offset, turn);
        vec4 tile = shadow_tile[c];
        vec2 from_middle = abs((uv - tile.xy) / (tile.zw - tile.xy) - 0.5) * 2.0;
        float leaving = smoothstep(0.82, 0.98, max(from_middle.x, from_middle.y));
        if (leaving <= 0.0) return lit;
        float next = c + 1 < counts.y ? cascade_visibility(c + 1, world, n, normal_offset, turn) : 1.0;
        return mix(lit, next, leaving);
    }
    return 1.0;
}
#endif
