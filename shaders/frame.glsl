// What every pass knows of this frame (vrapp/render/frame_block.py packs it), and the way to the screen.
layout(std140, binding = 0) uniform Frame {
    mat4 clip_from_world[2];    // one eye each
    mat4 ray_from_ndc[2];       // world direction = (ray_from_ndc · (x, y, 1, 0)).xyz, not normalised
    mat4 shadow_from_world[3];  // atlas u, v and depth in [0, 1]; finest cascade first
    vec4 eyes[2];               // world position
    vec4 viewer;                // midpoint of the eyes; w: radians per pixel
    vec4 to_sun;                // unit vector; w: time in seconds
    vec4 sun;                   // irradiance / pi; w: exposure
    vec4 zenith;                // radiance of the sky straight up; w: fog density per metre
    vec4 horizon;               // … and at the horizon
    vec4 bounce;                // light that comes back from the ground
    vec4 shadow_texel;          // metres per texel of each cascade; w: softness in metres
    vec4 terrain;               // x: metres after which the land repeats (0: flat), yz: middle of the valley, w: metres a cell
    vec4 shadow_tile[3];        // atlas rectangle of each cascade: u0, v0, u1, v1
    ivec4 counts;               // x: eyes, y: cascades
};

#ifdef VERTEX
// To the picture: both eyes side by side in one target, each cut at the middle by a clip distance.
out float gl_ClipDistance[1];

vec4 in_eye_half(vec4 clip, int eye) {
    gl_ClipDistance[0] = 1.0;
    if (counts.x == 2) {
        float side = eye == 0 ? -1.0 : 1.0;
        gl_ClipDistance[0] = clip.w + side * clip.x;
        clip.x = 0.5 * (clip.x + side * clip.w);
    }
#ifdef DEPTH_MINUS_ONE_TO_ONE
    clip.z = 2.0 * clip.z - clip.w;
#endif
    return clip;
}

vec4 to_screen(vec3 world, int eye) { return in_eye_half(clip_from_world[eye] * vec4(world, 1.0), eye); }
#endif
