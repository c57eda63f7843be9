// Numbers as people read them.

import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** What stands where there is no value. */
export const NONE = "–";

/** A number of things: 12,345; beyond a million 1.23 M. */
export function count(value: number | bigint): string {
  const number = Number(value);
  return number < 1e6 ? grouped.format(number) : short(number);
}

/** So many things, in words: "1 agent", "2 agents". */
export function things(value: number | bigint, one: string, many = `${one}s`): string {
  return `${count(value)} ${Number(value) === 1 ? one : many}`;
}

/** How often a second. What is rare keeps two digits, so that it is not taken for nothing. */
export function rate(value: number): string {
  if (value === 0) return "0";
  if (value < 0.005) return "<0.01";
  if (value < 0.995) return value.toFixed(2);
  if (value < 9.95) return value.toFixed(1);
  return value < 9999.5 ? grouped.format(value) : short(value);
}

/** A share, in percent. */
export function percent(part: number, whole: number): string {
  const value = whole > 0 ? (100 * part) / whole : 0;
  return `${value > 0 && value < 9.95 ? value.toFixed(1) : value.toFixed(0)} %`;
}

function short(value: number): string {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    if (value >= size) return `${digits(value / size)} ${unit}`;
  }
  return digits(value);
}

/** Bytes, in binary units. */
export function bytes(value: number | bigint): string {
  let number = Number(value);
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (number < 1023.5) return unit === "B" ? `${Math.round(number)} B` : `${digits(number)} ${unit}`;
    number /= 1024;
  }
  return `${digits(number)} TiB`;
}

/** Three digits. */
function digits(value: number): string {
  return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : grouped.format(value);
}

export function milliseconds(of: Duration): number {
  return Number(of.seconds) * 1000 + of.nanos / 1e6;
}

/** How long something took. */
export function took(of: Duration | undefined): string {
  return of ? tookMs(milliseconds(of)) : NONE;
}

export function tookMs(ms: number): string {
  if (ms < 0.9995) return `${Math.round(ms * 1000)} µs`;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  return ms < 9950 ? `${(ms / 1000).toFixed(1)} s` : span(ms);
}

/** A time of seconds to days, in its largest unit. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export function date(of: Timestamp): Date {
  return new Date(Number(of.seconds) * 1000 + of.nanos / 1e6);
}

/** How long ago that was. */
export function age(of: Timestamp | undefined): string {
  return of ? span(Date.now() - date(of).getTime()) : NONE;
}

/** 14:03:07 */
export function time(of: Date): string {
  return clock.format(of);
}

/** With its day. */
export function moment(of: Timestamp | undefined): string {
  return of ? day.format(date(of)) : NONE;
}
