// The extension of JupyterLab and Notebook 7, without a build: a container as module federation wants it. What it does is
// served by the server extension, so that both are of one version; without that it does nothing.
(() => {
  let shared = {};

  // What the application itself uses, by its name: tokens are objects, and compared as such.
  async function moduleOf(name) {
    const versions = Object.values(shared[name] ?? {});
    const entry = versions.find((version) => version.loaded) ?? versions[0];
    return entry ? (await entry.get())() : undefined;
  }

  function activate(app, tracker) {
    if (!tracker) return;
    const { baseUrl } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    const url = new URL(`${baseUrl.replace(/\/?$/, "/")}nbcluster/files/lab.js`, location.href);
    import(url.href).then(
      (module) => module.follow(tracker),
      () => console.info("nbcluster: no server extension; a live view is not shown again when a page is loaded again"),
    );
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.nbcluster = {
    init: (scope) => { shared = scope; },
    get: async () => {
      const notebook = await moduleOf("@jupyterlab/notebook");
      const optional = notebook ? [notebook.INotebookTracker] : [];
      const plugin = { id: "nbcluster:views", description: "Live views, when a page is loaded again.",
        autoStart: true, optional, activate };
      return () => ({ __esModule: true, default: plugin });
    },
  };
})();
