uniform bool linear_out;  // the target's format, or the runtime that shows it, encodes sRGB

vec3 for_target(vec3 encoded) {
    if (!linear_out) return encoded;
    return mix(encoded / 12.92, pow((encoded + 0.055) / 1.055, vec3(2.4)), step(0.04045, encoded));
}
