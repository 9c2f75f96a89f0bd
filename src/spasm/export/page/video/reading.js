// Reading a video file frame by frame, inside a worker: mediabunny takes the packets out, WebCodecs decodes them.
import * as mediabunny from "../vendor/mediabunny/mediabunny.js";
import { PageProblem } from "../core/problem.js";

// Not all that mediabunny knows: a playlist in a file would name other files to fetch.
const FORMATS = [mediabunny.MP4, mediabunny.QTFF, mediabunny.WEBM, mediabunny.MATROSKA, mediabunny.MPEG_TS];
const PACKETS_FOR_RATE = 60;
const CODEC_NAMES = { avc: "H.264", hevc: "HEVC (H.265)", vp8: "VP8", vp9: "VP9", av1: "AV1" };

/** Open a video. Throws PageProblem for a file that is empty, no video, or of a codec that the browser cannot decode. */
export async function openVideo(file) {
  const name = file.name ?? "video";
  if (file.size === 0) throw new PageProblem("emptyFile", { name });
  const input = new mediabunny.Input({ source: new mediabunny.BlobSource(file), formats: FORMATS });
  const track = await primaryTrack(input, name);
  if (!track) throw new PageProblem("noVideoTrack", { name });
  const codec = CODEC_NAMES[track.codec] ?? track.codec ?? printable(track.internalCodecId);
  let isDecodable = false;
  try {
    isDecodable = track.codec !== null && (await track.canDecode());
  } catch (error) {
    throw new PageProblem("damagedVideo", { name, reason: reasonOf(error) });
  }
  if (!isDecodable) throw new PageProblem("codec", { name, codec });
  return track;
}

async function primaryTrack(input, name) {
  try {
    if (!(await input.getTracks()).length) throw new Error("it ends before it names its tracks");
    return await input.getPrimaryVideoTrack();
  } catch (error) {
    if (error instanceof mediabunny.UnsupportedInputFormatError) throw new PageProblem("notAVideo", { name });
    throw new PageProblem("damagedVideo", { name, reason: reasonOf(error) });
  }
}

/** What is known of a video before it is decoded: {firstS, endS, promisedEndS, stepS}. */
export async function inspect(track, name) {
  try {
    const firstS = Math.max(0, await track.getFirstTimestamp());
    const endS = await track.computeDuration();
    const promisedEndS = Math.max(endS, (await track.getDurationFromMetadata()) ?? 0);
    const rate = (await track.computePacketStats(PACKETS_FOR_RATE)).averagePacketRate;
    const stepS = rate >= 1 && rate <= 1000 ? 1 / rate : 1 / 30;
    return { firstS, endS, promisedEndS, stepS };
  } catch (error) {
    throw new PageProblem("damagedVideo", { name, reason: reasonOf(error) });
  }
}

/** The frames from startS to before endS in s, each to be closed by the caller before the next is asked for. */
export async function* frames(track, startS, endS) {
  const sink = new mediabunny.VideoSampleSink(track);
  for await (const sample of sink.samples(startS, endS)) {
    if (sample.timestamp >= startS && sample.timestamp < endS) yield sample;
    else sample.close(); // the first is the frame that is still visible at startS
  }
}

export function reasonOf(error) {
  return String(error?.message ?? error).slice(0, 200);
}

function printable(codecId) {
  return typeof codecId === "string" ? codecId.replace(/[^\x20-\x7e]/g, "?").slice(0, 40) : "unknown";
}
