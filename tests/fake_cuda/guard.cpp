// The least of a CUDA device that lets a CPU build of PyTorch make fake tensors on it: nothing here computes.

#include <ATen/SDPBackend.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/transformers/attention.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace {

using c10::Device;
using c10::DeviceType;
using c10::Stream;
using Nowhere = c10::impl::NoOpDeviceGuardImpl<DeviceType::CUDA>;

// Device 0 is always the current one; PyTorch's own guard that does nothing has no number for it.
struct OneDevice : Nowhere {
  Device getDevice() const override { return {DeviceType::CUDA, 0}; }
  Device exchangeDevice(Device) const override { return getDevice(); }
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, getDevice()); }
  Stream exchangeStream(Stream) const noexcept override { return getStream(getDevice()); }
};

const OneDevice device;
const c10::impl::DeviceGuardImplRegistrar guard(DeviceType::CUDA, &device);

// The kernel of F.scaled_dot_product_attention: PyTorch's choice among those that its CUDA build has, without cuDNN's.
int64_t choose_attention(const at::Tensor& query, const at::Tensor&, const at::Tensor&,
                         const std::optional<at::Tensor>& mask, double, bool, std::optional<double>, bool) {
  const bool has_flash = query.scalar_type() != at::kFloat && !mask.has_value();
  return static_cast<int64_t>(has_flash ? at::SDPBackend::flash_attention : at::SDPBackend::efficient_attention);
}

const bool has_choice = [] {
  at::native::_fused_sdp_choice_stub.set_cuda_dispatch_ptr(&choose_attention);
  return true;
}();

}  // namespace

namespace at {

// PyTorch looks the class up by this name.
struct CUDAHooks : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  DeviceIndex current_device() const override { return 0; }
  int getNumGPUs() const override { return 1; }
};
REGISTER_CUDA_HOOKS(CUDAHooks)

}  // namespace at
