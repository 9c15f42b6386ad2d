// Answers lines of text with a SavedModel that it reads as TensorFlow Serving does.
//
//   loader SAVED_MODEL [LIBRARY OF OPS]... < texts
//
// Asks `serving_default` for all lines at once. Prints of each output a line with its name, type and
// shape, then its values in order, one a line.

#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"

namespace tf = tensorflow;

void EndOn(const std::string& what, const std::string& message) {
  std::cerr << what << ": " << message << "\n";
  std::exit(1);
}

int main(int argc, char** argv) {
  if (argc < 2) EndOn("loader", "wanted the folder of a SavedModel");
  for (int i = 2; i < argc; ++i) {
    TF_Status* status = TF_NewStatus();
    TF_LoadLibrary(argv[i], status);
    if (TF_GetCode(status) != TF_OK) EndOn(argv[i], TF_Message(status));
    TF_DeleteStatus(status);
  }

  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) lines.push_back(line);
  tf::Tensor texts(tf::DT_STRING, tf::TensorShape({static_cast<int64_t>(lines.size())}));
  for (size_t i = 0; i < lines.size(); ++i) texts.vec<tf::tstring>()(i) = lines[i];

  tf::SavedModelBundleLite bundle;
  absl::Status status =
      tf::LoadSavedModel(tf::SessionOptions(), tf::RunOptions(), argv[1], {"serve"}, &bundle);
  if (!status.ok()) EndOn(argv[1], std::string(status.message()));

  const tf::SignatureDef& signature = bundle.GetSignatures().at("serving_default");
  std::vector<std::string> names, tensors;
  for (const auto& [name, info] : signature.outputs()) {
    names.push_back(name);
    tensors.push_back(info.name());
  }
  std::vector<tf::Tensor> outputs;
  status = bundle.GetSession()->Run({{signature.inputs().at("text").name(), texts}}, tensors, {},
                                    &outputs);
  if (!status.ok()) EndOn("serving_default", std::string(status.message()));

  std::cout.precision(9);  // tells any two float32 apart
  for (size_t i = 0; i < outputs.size(); ++i) {
    const tf::Tensor& output = outputs[i];
    std::cout << names[i] << " " << tf::DataTypeString(output.dtype());
    for (int axis = 0; axis < output.dims(); ++axis) std::cout << " " << output.dim_size(axis);
    std::cout << "\n";
    for (int64_t j = 0; j < output.NumElements(); ++j) {
      if (output.dtype() == tf::DT_STRING) {
        std::cout << std::string(output.flat<tf::tstring>()(j)) << "\n";
      } else if (output.dtype() == tf::DT_FLOAT) {
        std::cout << output.flat<float>()(j) << "\n";
      } else {
        EndOn(names[i], "wanted strings or float32");
      }
    }
  }
}
