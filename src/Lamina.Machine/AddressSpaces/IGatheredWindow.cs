namespace Lamina.Machine.AddressSpaces;

/// <summary>
/// A window to which nobody waits for what a write does, and of which nobody sees before it touches another: an accelerator may gather writes, and bring them in their order before the next
/// access to any other window.
/// </summary>
public interface IGatheredWindow : IRegisterWindow;
