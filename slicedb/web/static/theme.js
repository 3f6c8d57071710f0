// Set the theme before anything is drawn. No module: modules run after the first paint.
(() => {
  try {
    const theme = localStorage.getItem("slicedb.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // A browser that keeps nothing follows the system.
  }
})();
