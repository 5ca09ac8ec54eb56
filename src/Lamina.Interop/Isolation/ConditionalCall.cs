namespace Lamina.Interop.Isolation;

/// <summary>A call that is allowed if its arguments fulfil all conditions.</summary>
/// <param name="Call">Its number.</param>
/// <param name="Checks">The conditions.</param>
internal readonly record struct ConditionalCall(int Call, ArgumentCheck[] Checks);
