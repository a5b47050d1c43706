// within fails, and says what for, if promise takes longer than 5 seconds.
export async function within(what, promise) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`waited in vain: ${what.slice(0, 300)}`)), 5000); });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
