// The theme: automatic (the system's), light or dark. Runs before the first paint, so that nothing flashes.
'use strict';
(() => {
  const KEY = 'ticklane.theme';
  const NEXT = { auto: 'dark', dark: 'light', light: 'auto' };
  const LABEL = { auto: 'Auto', dark: 'Dark', light: 'Light' };

  const stored = () => {
    try {
      const theme = localStorage.getItem(KEY);
      return theme in NEXT ? theme : 'auto';
    } catch {
      return 'auto'; // Storage is refused: the choice lives as long as the page.
    }
  };

  let theme = stored();
  const apply = () => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  apply();

  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    const label = () => {
      button.textContent = LABEL[theme];
      button.setAttribute('aria-label', `Theme: ${LABEL[theme]}. Change to ${LABEL[NEXT[theme]]}`);
      button.title = `Theme: ${LABEL[theme]}`;
    };
    label();
    button.addEventListener('click', () => {
      theme = NEXT[theme];
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // As above.
      }
      apply();
      label();
    });
  });
})();
