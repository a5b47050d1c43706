// What the parts of the page share.

// settings are the server's: path is where Socket.IO is, token whether clients
// have to show one.
export const settings = await fetch('page.json').then((answer) => answer.json());

// kept sets, or returns, what this tab keeps until it is closed.
export function kept(key, value) {
  try {
    if (value === undefined) return sessionStorage.getItem(`carillon.${key}`);
    sessionStorage.setItem(`carillon.${key}`, value);
  } catch {
    return null; // the browser keeps nothing
  }
}

// make puts text in as text, never as markup.
export function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// say changes an element's text only if it is another one.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function on(form, submit) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
}

export function append(log, item, most) {
  log.append(item);
  while (log.childElementCount > most) log.firstElementChild.remove();
  log.scrollTop = log.scrollHeight;
}
