// Screen-space ambient occlusion at half resolution: the Alchemy estimator (McGuire et al., 2011) over a
// spiral of samples within a radius in the world.
#include "depth_place.glsl"

in vec2 uv;
layout(location = 0) out float open;

const int SAMPLES = 12;
const float RADIUS_M = 0.45, LARGEST = 0.09;  // the latter a share of the picture's height
const float LEAST_RISE = 0.10;  // sine of the angle that facets of a smooth surface may stand out by

vec3 normal_at(vec2 at, vec3 p, vec2 texel, int eye) {
    vec3 right = place_at(at + vec2(texel.x, 0.0), eye) - p, left = p - place_at(at - vec2(texel.x, 0.0), eye);
    vec3 up = place_at(at + vec2(0.0, texel.y), eye) - p, down = p - place_at(at - vec2(0.0, texel.y), eye);
    vec3 x = dot(right, right) < dot(left, left) ? right : left;  // the side that is on the same surface
    vec3 y = dot(up, up) < dot(down, down) ? up : down;
    return normalize(cross(x, y));
}

void main() {
    open = 1.0;
    float depth = textureLod(depth_picture, uv, 0.0).r;
    if (depth <= 0.0 || depth >= 1.0) return;  // sky, or hidden by a lens
    vec2 size = vec2(textureSize(depth_picture, 0)), texel = 1.0 / size;
    int eye = eye_at(uv);
    vec3 p = place_at(uv, eye);
    vec3 n = normal_at(uv, p, texel, eye);
    float axis_m = axis_distance(uv);
    float radius = min(RADIUS_M / (axis_m * viewer.w) * texel.y, LARGEST);  // share of the height
    if (radius * size.y < 1.5) return;
    float turn = 6.2832 * fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715))));
    float sum = 0.0, bias = 0.004 + 0.0015 * axis_m;
    for (int i = 0; i < SAMPLES; i++) {
        float r = (float(i) + 0.5) / float(SAMPLES), a = float(i) * 2.39996 + turn;
        vec2 at = uv + radius * r * vec2(cos(a) * size.y / size.x, sin(a));
        if (any(lessThan(at, vec2(0.0))) || any(greaterThan(at, vec2(1.0))) || eye_at(at) != eye) continue;
        vec3 d = place_at(at, eye) - p;
        float d2 = dot(d, d);
        float near = max(1.0 - d2 / (RADIUS_M * RADIUS_M), 0.0);
        sum += near * max((dot(d, n) - bias) * inversesqrt(d2 + 1e-5) - LEAST_RISE, 0.0);
    }
    open = clamp(1.0 - 2.3 * sum / float(SAMPLES), 0.0, 1.0);
    open *= open * (1.6 - 0.6 * open);
}
